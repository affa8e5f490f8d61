// The room's texts in four languages. Zoom's client has its own translations, see `zoom-sdk.js`.
export const LANGUAGES = { en: 'English', ar: 'العربية', hi: 'हिन्दी', es: 'Español' };
export const direction = (language) => (language === 'ar' ? 'rtl' : 'ltr');

const WORDS = {
  en: {
    yourName: 'Your name', joinAsGuest: 'Others see your name in the class. Without one, the name of the invitation is shown.', linkOver: 'This link does not work', linkOverMore: 'The class is over, or you have a newer mail with another link. Please open the link in your latest mail.', leftGuest: 'To come back, open the link in your mail.',
    language: 'Language', fullscreen: 'Full screen', leaveFullscreen: 'Leave full screen', back: 'Back to the classes',
    join: 'Join the class', start: 'Start the class', joining: 'Joining…', waiting: 'Waiting for the trainer',
    waitingMore: 'You join automatically when the class starts.', joinAs: 'You join as {name}.',
    leave: 'Leave', rejoin: 'Join again', left: 'You have left the class', leftMore: 'You can join again while the class is live.',
    ended: 'The class has ended', endedMore: 'Thank you for being here.', endAll: 'End for everyone', endAllAsk: 'End the class for everyone?',
    endAllMore: 'The meeting ends for everyone.', keep: 'Cancel', inRoom: 'In the room', you: 'you', host: 'Trainer',
    simulated: 'Simulated room', simulatedMore: 'With real Zoom credentials, Zoom’s client opens here.', since: 'since {time}',
    openLink: 'Open the meeting', linkMore: 'This class uses a link. It opens in a new window.', byLink: 'Open in Zoom’s app instead', passcode: 'Passcode',
    polls: 'Polls', noPoll: 'No poll right now', noPollMore: 'Polls appear here when the trainer launches them.', newPoll: 'New poll', question: 'Question',
    option: 'Option {n}', addOption: 'Add an option', removeOption: 'Remove option {n}', multiple: 'Several answers', anonymous: 'Anonymous', afterClose: 'Results after the close', launch: 'Launch',
    vote: 'Vote', changeVote: 'Change my vote', voted: 'Your vote is counted.', close: 'Close the poll', closeAsk: 'Close the poll?', closeMore: 'No more votes are possible. The result stays.',
    open: 'Open', closed: 'Closed', votes: 'Votes: {n}', answers: 'Answers: {n}', earlier: 'Earlier polls', showPolls: 'Show polls', hidePolls: 'Hide polls',
    tooEarly: 'You can join from {time}.', failed: 'Request failed', again: 'Try again', code: 'Code', noLicence: 'No Zoom licence is free', noLicenceMore: 'Other classes use all licences of the platform. Please try again in a few minutes, or ask the platform for a licence.', chooseFirst: 'Choose an answer first.', notLive: 'Polls can be launched while the class is live.',
  },
  es: {
    yourName: 'Tu nombre', joinAsGuest: 'Los demás ven tu nombre en la clase. Si lo dejas vacío, aparece el de la invitación.', linkOver: 'Este enlace no funciona', linkOverMore: 'La clase ha terminado o tienes un correo más reciente con otro enlace. Abre el enlace de tu último correo.', leftGuest: 'Para volver, abre el enlace de tu correo.',
    language: 'Idioma', fullscreen: 'Pantalla completa', leaveFullscreen: 'Salir de pantalla completa', back: 'Volver a las clases',
    join: 'Entrar en la clase', start: 'Empezar la clase', joining: 'Entrando…', waiting: 'Esperando al docente',
    waitingMore: 'Entrarás en cuanto empiece la clase. Esta página lo comprueba sola.', joinAs: 'Entras como {name}.',
    leave: 'Salir', rejoin: 'Volver a entrar', left: 'Has salido de la clase', leftMore: 'Mientras dure, puedes volver a entrar.',
    ended: 'La clase ha terminado', endedMore: 'Gracias por venir.', endAll: 'Terminar para todos', endAllAsk: '¿Terminar la clase para todos?',
    endAllMore: 'Todos salen y la reunión termina.', keep: 'Continuar', inRoom: 'En la sala', you: 'tú', host: 'Docente',
    simulated: 'Sala simulada', simulatedMore: 'Con credenciales reales, aquí se abre el cliente de Zoom.', since: 'desde las {time}',
    openLink: 'Abrir la reunión', linkMore: 'Esta clase se reúne en un enlace. Se abre en otra ventana.', byLink: 'Abrir en la aplicación de Zoom', passcode: 'Código de acceso',
    polls: 'Encuestas', noPoll: 'Ahora no hay ninguna encuesta', noPollMore: 'Cuando el docente pregunte algo, aparecerá aquí.', newPoll: 'Nueva encuesta', question: 'Pregunta',
    option: 'Opción {n}', addOption: 'Añadir una opción', removeOption: 'Quitar la opción {n}', multiple: 'Varias respuestas', anonymous: 'Anónima', afterClose: 'Resultados al cerrar', launch: 'Lanzar',
    vote: 'Votar', changeVote: 'Cambiar mi voto', voted: 'Tu voto se ha contado.', close: 'Cerrar la encuesta', closeAsk: '¿Cerrar la encuesta?', closeMore: 'Después nadie podrá votar; el resultado se conserva.',
    open: 'Abierta', closed: 'Cerrada', votes: 'Votos: {n}', answers: 'Respuestas: {n}', earlier: 'Encuestas anteriores', showPolls: 'Mostrar encuestas', hidePolls: 'Ocultar encuestas',
    tooEarly: 'Puedes entrar desde las {time}.', failed: 'No ha funcionado', again: 'Intentar de nuevo', code: 'Código', noLicence: 'No hay ninguna licencia de Zoom libre', noLicenceMore: 'Otras clases usan todas las licencias de la plataforma. Inténtalo de nuevo en unos minutos o pide una licencia a la plataforma.', chooseFirst: 'Elige primero una respuesta.', notLive: 'Las encuestas se lanzan mientras la clase está en curso.',
  },
  ar: {
    yourName: 'اسمك', joinAsGuest: 'يرى الآخرون اسمك في الحصة. إن تركته فارغًا يظهر اسم الدعوة.', linkOver: 'هذا الرابط لا يعمل', linkOverMore: 'انتهت الحصة أو لديك رسالة أحدث فيها رابط آخر. افتح الرابط في آخر رسالة وصلتك.', leftGuest: 'للعودة افتح الرابط في رسالتك.',
    language: 'اللغة', fullscreen: 'ملء الشاشة', leaveFullscreen: 'الخروج من ملء الشاشة', back: 'العودة إلى الحصص',
    join: 'انضم إلى الحصة', start: 'ابدأ الحصة', joining: 'جارٍ الدخول…', waiting: 'بانتظار المدرّب',
    waitingMore: 'ستدخل فور بدء الحصة. تتحقق هذه الصفحة من ذلك تلقائيًا.', joinAs: 'تدخل باسم {name}.',
    leave: 'مغادرة', rejoin: 'الدخول مجددًا', left: 'لقد غادرت الحصة', leftMore: 'يمكنك الدخول مجددًا ما دامت مستمرة.',
    ended: 'انتهت الحصة', endedMore: 'شكرًا لحضورك.', endAll: 'إنهاء للجميع', endAllAsk: 'هل تريد إنهاء الحصة للجميع؟',
    endAllMore: 'سيخرج الجميع وينتهي الاجتماع.', keep: 'متابعة', inRoom: 'في القاعة', you: 'أنت', host: 'المدرّب',
    simulated: 'قاعة تجريبية', simulatedMore: 'مع بيانات Zoom حقيقية يُفتح هنا تطبيق Zoom نفسه.', since: 'منذ {time}',
    openLink: 'فتح الاجتماع', linkMore: 'تُعقد هذه الحصة عبر رابط يُفتح في نافذة جديدة.', byLink: 'افتح في تطبيق Zoom بدلًا من ذلك', passcode: 'رمز الدخول',
    polls: 'الاستطلاعات', noPoll: 'لا يوجد استطلاع الآن', noPollMore: 'عندما يطرح المدرّب سؤالًا سيظهر هنا.', newPoll: 'استطلاع جديد', question: 'السؤال',
    option: 'الخيار {n}', addOption: 'إضافة خيار', removeOption: 'حذف الخيار {n}', multiple: 'عدة إجابات', anonymous: 'مجهول', afterClose: 'النتائج بعد الإغلاق', launch: 'إطلاق',
    vote: 'صوّت', changeVote: 'تغيير صوتي', voted: 'تم احتساب صوتك.', close: 'إغلاق الاستطلاع', closeAsk: 'هل تريد إغلاق الاستطلاع؟', closeMore: 'لن يتمكن أحد من التصويت بعد ذلك؛ وتبقى النتيجة.',
    open: 'مفتوح', closed: 'مغلق', votes: 'الأصوات: {n}', answers: 'الإجابات: {n}', earlier: 'استطلاعات سابقة', showPolls: 'إظهار الاستطلاعات', hidePolls: 'إخفاء الاستطلاعات',
    tooEarly: 'يمكنك الانضمام من {time}.', failed: 'لم ينجح ذلك', again: 'حاول مجددًا', code: 'الرمز', noLicence: 'لا يوجد ترخيص Zoom متاح', noLicenceMore: 'تستخدم حصص أخرى جميع تراخيص المنصة. حاول مجددًا بعد بضع دقائق أو اطلب ترخيصًا من المنصة.', chooseFirst: 'اختر إجابة أولًا.', notLive: 'تُطلق الاستطلاعات أثناء سير الحصة.',
  },
  hi: {
    yourName: 'आपका नाम', joinAsGuest: 'कक्षा में दूसरे लोग आपका नाम देखते हैं। खाली छोड़ने पर निमंत्रण का नाम दिखता है।', linkOver: 'यह लिंक काम नहीं करता', linkOverMore: 'कक्षा समाप्त हो गई है, या आपके पास नए लिंक वाली नई मेल है। कृपया अपनी सबसे नई मेल का लिंक खोलें।', leftGuest: 'वापस आने के लिए अपनी मेल का लिंक खोलें।',
    language: 'भाषा', fullscreen: 'पूर्ण स्क्रीन', leaveFullscreen: 'पूर्ण स्क्रीन से बाहर', back: 'कक्षाओं पर वापस',
    join: 'कक्षा में आएँ', start: 'कक्षा शुरू करें', joining: 'प्रवेश हो रहा है…', waiting: 'शिक्षक की प्रतीक्षा है',
    waitingMore: 'कक्षा शुरू होते ही आप अंदर आ जाएँगे। यह पृष्ठ स्वयं देखता रहता है।', joinAs: 'आप {name} नाम से आएँगे।',
    leave: 'बाहर जाएँ', rejoin: 'फिर से आएँ', left: 'आप कक्षा से बाहर आ गए हैं', leftMore: 'जब तक कक्षा चल रही है, आप फिर आ सकते हैं।',
    ended: 'कक्षा समाप्त हो गई', endedMore: 'आने के लिए धन्यवाद।', endAll: 'सबके लिए समाप्त करें', endAllAsk: 'क्या कक्षा सबके लिए समाप्त करें?',
    endAllMore: 'सभी बाहर हो जाएँगे और बैठक समाप्त होगी।', keep: 'जारी रखें', inRoom: 'कक्ष में', you: 'आप', host: 'शिक्षक',
    simulated: 'नकली कक्ष', simulatedMore: 'Zoom के असली प्रमाण-पत्रों के साथ यहाँ Zoom खुलता है।', since: '{time} से',
    openLink: 'बैठक खोलें', linkMore: 'यह कक्षा एक लिंक पर होती है, जो नई विंडो में खुलता है।', byLink: 'इसके बजाय Zoom ऐप में खोलें', passcode: 'पासकोड',
    polls: 'मतदान', noPoll: 'अभी कोई मतदान नहीं', noPollMore: 'शिक्षक कुछ पूछेंगे तो यहाँ दिखेगा।', newPoll: 'नया मतदान', question: 'प्रश्न',
    option: 'विकल्प {n}', addOption: 'विकल्प जोड़ें', removeOption: 'विकल्प {n} हटाएँ', multiple: 'कई उत्तर', anonymous: 'गुमनाम', afterClose: 'परिणाम बंद होने के बाद', launch: 'शुरू करें',
    vote: 'मत दें', changeVote: 'मेरा मत बदलें', voted: 'आपका मत गिन लिया गया।', close: 'मतदान बंद करें', closeAsk: 'क्या मतदान बंद करें?', closeMore: 'इसके बाद कोई मत नहीं दे सकेगा; परिणाम बना रहेगा।',
    open: 'खुला', closed: 'बंद', votes: 'मत: {n}', answers: 'उत्तर: {n}', earlier: 'पहले के मतदान', showPolls: 'मतदान दिखाएँ', hidePolls: 'मतदान छिपाएँ',
    tooEarly: 'आप {time} से शामिल हो सकते हैं।', failed: 'यह नहीं हो सका', again: 'फिर कोशिश करें', code: 'कोड', noLicence: 'Zoom का कोई लाइसेंस खाली नहीं है', noLicenceMore: 'दूसरी कक्षाएँ मंच के सभी लाइसेंस इस्तेमाल कर रही हैं। कुछ मिनट बाद फिर कोशिश करें, या मंच से लाइसेंस माँगें।', chooseFirst: 'पहले एक उत्तर चुनें।', notLive: 'मतदान कक्षा के चलते समय शुरू किया जा सकता है।',
  },
};

/** Returns the texts of a language. Placeholders such as `{n}` are replaced. */
export function words(language) {
  const of = WORDS[language] || WORDS.en;
  return (key, values = {}) => (of[key] ?? WORDS.en[key]).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
